{{
    config(
        entity='person',
        materialized='segment',
    )
}}
SELECT customer AS id FROM {{ ref('orders') }}
