select count(*) as numbers, sum(generated_number) as total
from {{ ref('numbers') }}
having count(*) <> 4 or sum(generated_number) <> 13
