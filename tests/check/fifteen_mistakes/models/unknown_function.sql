SELECT person_id, lowr(email) AS email FROM {{ ref('sound') }}
