{{ config(materialized='table') }}
SELECT order_id, amount AS order_id FROM {{ ref('orders') }}
