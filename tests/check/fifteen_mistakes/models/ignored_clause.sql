SELECT person_id, email
FROM {{ ref('sound') }}
ORDER BY ALL
FOR UPDATE
