{{ config(materialized='table', post_hook='VACUUM') }}
SELECT order_id FROM {{ ref('orders') }}
