-- name: identity.person_edges
-- invariant: every row of the edges relation that touches a record or an identifier of these people, refused ones included
-- parameter: identity, edges: the relation and its companion; ids: canonical ids as literals
WITH records AS (
    SELECT DISTINCT source, record_id FROM {edges} WHERE accepted AND canonical_id IN ({ids})
),
identifiers AS (
    SELECT id_type, id_value FROM {identity} WHERE canonical_id IN ({ids})
)
SELECT
    e.source,
    e.record_id,
    e.id_type,
    e.id_value,
    arrow_cast(e.observed_at, 'Int64') AS seen_at,
    e.accepted,
    e.rule,
    e.link,
    e.weight
FROM {edges} AS e
LEFT JOIN records AS r ON e.source = r.source AND e.record_id = r.record_id
LEFT JOIN identifiers AS i ON e.id_type = i.id_type AND e.id_value = i.id_value
WHERE r.source IS NOT NULL OR i.id_type IS NOT NULL
ORDER BY e.source, e.record_id, e.id_type, e.id_value, seen_at, e.accepted, e.rule
