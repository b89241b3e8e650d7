SELECT order_id
FROM {{ ref('oders') }}
