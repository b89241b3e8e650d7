SELECT s.person_id
FROM {{ ref('sound') }} AS s
INNER JOIN people AS p ON p.person_id = s.person_id
