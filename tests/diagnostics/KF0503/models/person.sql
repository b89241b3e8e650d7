{{ config(materialized='identity', entity='person') }}
SELECT 'shop' AS source, customer_id AS record_id, 'email' AS id_type, email AS id_value, CAST(seen_at AS TIMESTAMP) AS observed_at
FROM {{ ref('customers') }}
