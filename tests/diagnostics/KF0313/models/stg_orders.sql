{{ config(enabled=false) }}
SELECT order_id FROM {{ ref('orders') }}
