select id, kind, amount from {{ ref('raw_sales') }} where id < 4
