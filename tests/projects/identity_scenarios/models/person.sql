select source, record_id, id_type, id_value, observed_at
from {{ ref('observations') }}
