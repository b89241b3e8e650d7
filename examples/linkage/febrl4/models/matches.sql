select
    source, record_id, first_name, last_name, number, address, address_2, suburb, postcode, state, born, ssn
from {{ ref('records') }}
