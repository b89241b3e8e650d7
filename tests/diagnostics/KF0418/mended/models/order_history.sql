{{ config(materialized='table') }}
SELECT order_id, amount
FROM {{ ref('orders') }}
