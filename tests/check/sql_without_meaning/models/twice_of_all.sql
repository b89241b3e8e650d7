{{ config(materialized='table') }}
SELECT *, 1 AS one FROM {{ ref('orders') }} a JOIN {{ ref('orders') }} b ON a.order_id = b.order_id
