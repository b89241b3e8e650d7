{{ config(materialized='identity', entity='person') }}
SELECT 'shop' AS source, order_id AS record_id, customer AS id_value, placed_on AS observed_at
FROM {{ ref('orders') }}
