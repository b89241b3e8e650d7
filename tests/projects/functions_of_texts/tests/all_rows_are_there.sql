select count(*) from {{ ref('formed') }} having count(*) <> 3
