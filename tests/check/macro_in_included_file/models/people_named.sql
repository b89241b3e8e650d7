{# The mistake is in a macro, the macro in a file that another file includes. #}
SELECT
    person_id,
    {{ spelled('email') }} AS email
FROM {{ ref('people') }}
