select
    active,
    {{ dbt.any_value('1') }} as any_value,
    {{ dbt.bool_or('id > 2') }} as bool_or,
    {{ dbt.listagg('name', "'; '", 'order by name desc') }} as listagg,
    {{ dbt.listagg('name', order_by_clause='order by id', limit_num=1) }} as first_name
from {{ ref('people') }}
group by active
