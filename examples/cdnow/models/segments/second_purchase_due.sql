{#- Bought once, spent more than most, and has not come back for half a year. -#}
{{ config(materialized='segment', entity='customer') }}
SELECT canonical_id
FROM {{ ref('customer_profile') }}
WHERE repeat_days = 0
    AND amount >= 30
    AND last_purchase_at < {{ kinfold.as_of() }} - INTERVAL '180 days'
