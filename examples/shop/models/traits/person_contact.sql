-- The golden record: of each attribute the latest value that somebody wrote.
WITH addresses AS (
    SELECT
        canonical_id,
        first_value(id_value ORDER BY last_seen_at DESC NULLS LAST, id_value)
            FILTER (WHERE id_type = 'email') AS email,
        first_value(id_value ORDER BY last_seen_at DESC NULLS LAST, id_value)
            FILTER (WHERE id_type = 'phone') AS phone
    FROM {{ ref('person') }}
    GROUP BY canonical_id
),

contacts AS (
    SELECT
        r.canonical_id,
        {{ kinfold.newest('c.first_name', 'c.updated_at', 'c.contact_id') }} AS first_name,
        {{ kinfold.newest('c.last_name', 'c.updated_at', 'c.contact_id') }} AS last_name,
        {{ kinfold.newest('c.city', 'c.updated_at', 'c.contact_id') }} AS city,
        {{ kinfold.newest('c.country', 'c.updated_at', 'c.contact_id') }} AS country
    FROM {{ ref('stg_contacts') }} AS c
    INNER JOIN {{ ref('person__records') }} AS r
        ON r.source = 'crm' AND r.record_id = c.contact_id
    GROUP BY r.canonical_id
)

SELECT
    a.canonical_id,
    a.email,
    a.phone,
    c.first_name,
    c.last_name,
    c.city,
    c.country
FROM addresses AS a
LEFT JOIN contacts AS c ON c.canonical_id = a.canonical_id
