{{ config(materialized='table') }}
SELECT order_id FROM {{ ref('orders') }}
