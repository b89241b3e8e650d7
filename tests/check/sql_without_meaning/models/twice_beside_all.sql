SELECT *, amount AS order_id FROM {{ ref('orders') }}
