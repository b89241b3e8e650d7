select * from {{ ref('m2') }}
