with given as (
    select * from (values
        ('x', 'old', 1, 'a'), ('x', 'new', 2, 'b'), ('x', null, 3, 'c'),
        ('y', 'tie b', 1, 'b'), ('y', 'tie a', 1, 'a'), ('y', 'no time', null, 'a')
    ) as t (person, value, at, tie)
)

select
    person,
    {{ kinfold.newest('value', 'at', 'tie') }} as newest,
    {{ kinfold.score('count(*)', [1, 2, 3, 4]) }} as score,
    {{ kinfold.score('count(*)', [1, 2, 3, 4], highest_first=true) }} as reversed
from given
group by person
