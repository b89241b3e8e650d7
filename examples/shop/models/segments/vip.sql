{#- The best customers among those who allow advertising. -#}
{{ config(materialized='segment', entity='person') }}
SELECT canonical_id
FROM {{ ref('person_profile') }}
WHERE rfm_class IN ('champion', 'loyal')
    AND lifetime_value >= 300
    AND {{ kinfold.consented('advertising') }}
