SELECT order_id, customer_id FROM {{ ref('customers') }}
