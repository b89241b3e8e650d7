{{ config(materialized='snapshot', unique_key='order_id') }}
SELECT order_id, amount
FROM {{ ref('orders') }}
