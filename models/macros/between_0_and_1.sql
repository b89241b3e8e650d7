{% test between_0_and_1(model, column_name) %}
SELECT {{ column_name }}
FROM {{ model }}
WHERE {{ column_name }} NOT BETWEEN 0 AND 1
{% endtest %}
