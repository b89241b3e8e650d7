{{ dbt.date_spine('day', "date '2024-02-27'", "date '2024-03-02'") }}
