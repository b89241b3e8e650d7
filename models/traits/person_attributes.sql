{#- The golden record: of each attribute the value that survived. `person_provenance` says where it comes from. -#}
{{ config(materialized='table', enabled=has_events()) }}
SELECT
    canonical_id,
    {{ golden_columns(var('golden_attributes')) }}
FROM {{ ref('person_provenance') }}
GROUP BY canonical_id
