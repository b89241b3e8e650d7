-- An id that joins strangers shows as one person with very many identifiers.
{{ config(enabled=has_events(), severity='warn') }}
SELECT
    canonical_id,
    count(*) AS identifiers
FROM {{ ref('person') }}
GROUP BY canonical_id
HAVING count(*) > {{ var('crowd') }}
