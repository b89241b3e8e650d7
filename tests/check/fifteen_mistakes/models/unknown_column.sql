{# Each place is in the file that somebody wrote, not in the SQL that it becomes. #}
SELECT
    person_id,
    {% for column in ['email', 'emial'] -%}
    lower({{ column }}) AS {{ column }}_lower,
    {% endfor -%}
    born_on
FROM {{ ref('sound') }}
