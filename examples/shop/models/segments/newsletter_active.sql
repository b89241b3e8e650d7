{#- Readers of the newsletter. -#}
{{ config(materialized='segment', entity='person') }}
SELECT canonical_id
FROM {{ ref('person_profile') }}
WHERE email_engagement IN ('medium', 'high')
    AND {{ kinfold.consented('email_marketing') }}
