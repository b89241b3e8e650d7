{{ config(materialized='table') }}
SELECT order_id, INTERVAL '14 days' AS time_to_pay
FROM {{ ref('orders') }}
