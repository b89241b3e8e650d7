{% if adapter.get_relation(database, 'main', 'not_of_the_project') %}select 1 as id{% else %}select 2 as id{% endif %}
