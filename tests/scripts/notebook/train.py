#!/usr/bin/env python
# coding: utf-8

# # Churn
#
# Let's look at the data first.

# In[1]:


import os
import csv
import glob


# In[2]:


data_dir = os.environ['SM_CHANNEL_TRAINING']
files = glob.glob(f'{data_dir}/*.csv')
rows = [r for f in files for r in csv.DictReader(open(f))]
rows[:2]


# In[5]:


n = 0
def count(r):
    global n
    n += 1
    return n

_ = [count(r) for r in rows]
print('rows:', n)


# In[6]:


with open(os.path.join(os.environ['SM_MODEL_DIR'], 'n.txt'), 'w') as f: f.write(str(n))
