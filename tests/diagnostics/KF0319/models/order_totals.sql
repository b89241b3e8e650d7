{{ config(materialized='table', tags=7) }}
SELECT order_id FROM {{ ref('orders') }}
