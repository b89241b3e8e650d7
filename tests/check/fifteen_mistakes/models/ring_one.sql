SELECT person_id
FROM {{ ref('ring_two') }}
