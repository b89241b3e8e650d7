{#- Which people belong to which account: both are named by one call of group. -#}
{{ config(materialized='table', enabled=has_events()) }}
SELECT
    a.canonical_id AS account_id,
    p.canonical_id,
    min(g.occurred_at) AS first_seen_at,
    max(g.occurred_at) AS last_seen_at
FROM {{ ref('stg_groups') }} AS g
INNER JOIN {{ ref('account__records') }} AS a
    ON a.source = 'groups' AND a.record_id = g.message_id
INNER JOIN {{ ref('person__records') }} AS p
    ON p.source = 'groups' AND p.record_id = g.message_id
GROUP BY a.canonical_id, p.canonical_id
