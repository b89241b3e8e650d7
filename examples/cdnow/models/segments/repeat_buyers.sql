{#- Bought again on a later day. -#}
{{ config(materialized='segment', entity='customer') }}
SELECT canonical_id
FROM {{ ref('customer_profile') }}
WHERE repeat_days >= 1
