-- Traits over different values as aggregates of rows; `traits` makes other SQL of the same.
SELECT
    person,
    {{ kinfold.trait_active_days(at='at') }} AS active_days,
    {{ kinfold.trait_unique_count('value', at='at') }} AS values_count,
    array_to_string({{ kinfold.trait_unique_list('value', at='at') }}, ' ') AS values_all,
    array_to_string({{ kinfold.trait_unique_list('value', at='at', limit=2) }}, ' ') AS values_two,
    array_to_string({{ kinfold.trait_unique_list('value', where="kind = 'refund'", at='at') }}, ' ') AS values_refunded
FROM {{ ref('observations') }}
WHERE person IN ('x', 'y')
GROUP BY person
