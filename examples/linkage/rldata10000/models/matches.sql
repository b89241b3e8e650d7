select source, record_id, first_name, second_name, last_name, second_last_name, "year", "month", "day"
from {{ ref('records') }}
