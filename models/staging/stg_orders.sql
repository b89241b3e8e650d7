{#- Orders, each once. A browser and a server may both report an order: the first report counts. An order
    without an id has that of its message. -#}
{{ config(materialized='table', enabled=has_events()) }}
WITH once AS (
    {{ each_once('orders', order_by='order_id, amount, currency, email') }}
)

SELECT * REPLACE (coalesce(order_id, message_id) AS order_id)
FROM once
QUALIFY row_number() OVER (
    PARTITION BY order_id IS NULL, coalesce(order_id, message_id) ORDER BY received_at NULLS LAST, message_id
) = 1
