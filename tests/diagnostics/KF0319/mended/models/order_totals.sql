{{ config(materialized='table', tags=['finance']) }}
SELECT order_id FROM {{ ref('orders') }}
