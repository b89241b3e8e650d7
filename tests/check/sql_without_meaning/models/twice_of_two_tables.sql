{{ config(materialized='table') }}
SELECT a.order_id, b.order_id FROM {{ ref('orders') }} a JOIN {{ ref('orders') }} b ON a.order_id = b.order_id
