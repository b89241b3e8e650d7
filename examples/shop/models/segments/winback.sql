{#- Good customers who stopped buying, and who allow mails. -#}
{{ config(materialized='segment', entity='person') }}
SELECT canonical_id
FROM {{ ref('person_profile') }}
WHERE orders >= 1
    AND orders_90d = 0
    AND lifetime_value >= 100
    AND email IS NOT NULL
    AND {{ kinfold.consented('email_marketing') }}
