SELECT person_id
FROM {{ ref('sound') }}
WHERE born_on > '{{ earliest_day }}'
