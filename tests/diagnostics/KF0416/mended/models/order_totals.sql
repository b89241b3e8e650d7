{{ config(materialized='table') }}
SELECT order_id, 14 AS days_to_pay
FROM {{ ref('orders') }}
