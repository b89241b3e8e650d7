select 'crm' as source, record_id, first_name, last_name, email, phone, birth_date, city, postal_code, street
from {{ ref('records') }}
