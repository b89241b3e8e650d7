{{ config(materialized='tabel') }}
SELECT order_id FROM {{ ref('orders') }}
