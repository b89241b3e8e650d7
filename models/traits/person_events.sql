{#- Events with the person who caused them. What carries no identifier has no person, and is not here. -#}
{{ config(materialized='table', enabled=has_events()) }}
SELECT
    r.canonical_id,
    e.*
FROM {{ ref('stg_events') }} AS e
INNER JOIN {{ ref('person__records') }} AS r
    ON r.source = 'events' AND r.record_id = e.message_id
