{{ config(materialized='identity', entity='customer') }}
SELECT
    'cdnow' AS source,
    purchase_id AS record_id,
    'customer_id' AS id_type,
    customer_id AS id_value,
    purchased_at AS observed_at
FROM {{ ref('stg_purchases') }}
