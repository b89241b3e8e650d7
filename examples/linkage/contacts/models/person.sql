select source, record_id, id_type, id_value, observed_at, link, weight
from {{ ref('matches__links') }}
